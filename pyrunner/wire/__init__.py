"""What server and worker say to each other: typed frames on a Unix socket."""
