"""What the model knows: a few topics, each explained in four styles."""

import dataclasses

STYLES = ("plain", "simple", "short", "example")


@dataclasses.dataclass(frozen=True)
class Topic:
    """One subject and the sentences about it.

    Attributes:
        key: Name used in JSON answers.
        singular: Ways to name one of it, with article: "a container".
        plural: Ways to name many of it or the thing as such: "containers".
        plain: Answers to a plain question, the first one being the usual answer.
        simple: Answer for a beginner.
        short: One sentence.
        example: Answer with an example.
    """

    key: str
    singular: tuple[str, ...]
    plural: tuple[str, ...]
    plain: tuple[str, ...]
    simple: str
    short: str
    example: str

    def answers(self, style: str) -> tuple[str, ...]:
        """Return the answers that fit a style of question."""
        found: str | tuple[str, ...] = getattr(self, style)
        return (found,) if isinstance(found, str) else found


TOPICS = (
    Topic(
        "Docker",
        ("Docker", "docker", "the Docker platform", "this Docker thing"),
        ("Docker", "docker", "the Docker platform"),
        (
            ("Docker is a platform that packs an application together with everything it needs "
            "into an image. The image can be started as a container on any machine that runs "
            "Docker, and it behaves the same everywhere."),
            ("Docker is a set of tools for building, sharing and running applications in "
            "containers. You build an image once, push it to a registry, and run it wherever "
            "Docker is installed."),
        ),
        "Docker is like a lunch box for software. You put a program and everything it needs into "
        "one box, and the box can be opened on any computer. The program then works the same way "
        "everywhere.",
        "Docker is a platform that packs applications into images and runs them as containers on "
        "any machine.",
        "Docker packs an application with everything it needs and runs it as a container. For "
        "example, the command docker run nginx downloads the nginx image and starts a web server "
        "without installing anything else.",
    ),
    Topic(
        "container",
        ("a container", "a Docker container", "a software container", "one container"),
        ("containers", "Docker containers", "software containers"),
        (
            ("A container is a running process that is isolated from the rest of the machine. It "
            "has its own files, which come from an image, but it shares the kernel of the host, "
            "so it starts quickly."),
            ("A container is an isolated process with its own file system. It is started from an "
            "image, can be stopped and removed at any time, and needs far less memory than a "
            "virtual machine."),
        ),
        "A container is a program that runs in its own small room. It sees only its own files "
        "and cannot disturb other programs. When you close the room, nothing is left behind.",
        "A container is an isolated process that is started from an image and shares the kernel "
        "of its host.",
        "A container is an isolated process that is started from an image. For example, you can "
        "run a database in one container and a web server in another, and neither of them sees "
        "the files of the other.",
    ),
    Topic(
        "image",
        ("an image", "a container image", "a Docker image", "an OCI image"),
        ("images", "container images", "Docker images", "OCI images"),
        (
            ("An image is a read-only template for containers. It consists of layers of files and "
            "a small configuration that says which program to start. Many containers can be "
            "started from one image."),
            ("An image is a package that holds a program, its libraries and its settings as a "
            "stack of layers. It never changes once it is built, and containers are started "
            "from it."),
        ),
        "An image is like a recipe with all ingredients already in the bag. It does nothing by "
        "itself, but you can start as many containers from it as you like, and each of them "
        "begins in the same state.",
        "An image is a read-only package of files and settings from which containers are started.",
        "An image is a read-only template for containers. For example, the image python contains "
        "a small Linux system and the Python interpreter, and every container started from it "
        "can run Python at once.",
    ),
    Topic(
        "registry",
        ("a registry", "a container registry", "a Docker registry", "an OCI registry"),
        ("registries", "container registries", "Docker registries", "OCI registries"),
        (
            ("A registry is a server that stores images and other artifacts and hands them out "
            "over HTTP. You push an image to a registry, and other machines pull it from there "
            "by its name and tag."),
            ("A registry is a place where images are kept and shared. Docker Hub is the best "
            "known one, but you can also run a registry of your own."),
        ),
        "A registry is like a library for images. You bring an image to the library by pushing "
        "it, and anyone who is allowed to can take a copy home by pulling it.",
        "A registry is a server from which images and other artifacts are pushed and pulled by "
        "name.",
        "A registry is a server that stores and shares images. For example, Docker Hub is a "
        "registry, and the command docker pull alpine fetches the image named alpine from it.",
    ),
    Topic(
        "OCI artifact",
        ("an OCI artifact", "an artifact", "an OCI registry artifact"),
        ("OCI artifacts", "artifacts", "artifacts in the OCI sense"),
        (
            ("An OCI artifact is any kind of file that is stored in a registry with the same "
            "manifest and blobs as an image. Language models, charts and signatures can be "
            "shipped this way."),
            ("An OCI artifact is content that is not a container image but is stored in a "
            "registry in the same format. It has a manifest that lists its blobs and says what "
            "type they are."),
        ),
        "An OCI artifact is a parcel that travels through a registry. The registry was made for "
        "images, but it does not look inside, so the parcel may just as well hold a language "
        "model.",
        "An OCI artifact is content of any type that is stored in a registry by means of an OCI "
        "manifest.",
        "An OCI artifact is content of any type that is stored in a registry like an image. For "
        "example, a language model in a GGUF file can be pushed to Docker Hub as an OCI artifact "
        "and pulled by a model runner.",
    ),
    Topic(
        "model runner",
        ("a model runner", "Docker Model Runner", "the Docker Model Runner", "a runner for models"),
        ("model runners", "Docker Model Runner", "the Docker Model Runner"),
        (
            ("A model runner is a program that pulls language models from a registry, loads them "
            "into memory and answers requests through an HTTP interface. Docker Model Runner is "
            "one of them."),
            ("A model runner is a service that manages language models on your own machine. It "
            "downloads a model, starts it on the first request and unloads it when nobody needs "
            "it."),
        ),
        "A model runner is like a music player for language models. You choose a model, the "
        "runner fetches it and loads it, and then you can talk to it on your own computer.",
        "A model runner is a program that fetches language models, loads them and answers "
        "requests with them on your own machine.",
        "A model runner loads language models and answers requests with them. For example, the "
        "command docker model run with the name of a model pulls the model and opens a chat with "
        "it.",
    ),
    Topic(
        "pyrunner",
        ("pyrunner", "the pyrunner package", "the program pyrunner"),
        ("pyrunner", "the pyrunner package", "the pyrunner project"),
        (
            ("pyrunner is a model runner that is installed with pip. It pulls models from "
            "registries, runs them with llama.cpp and offers the same interface as Docker Model "
            "Runner."),
        ),
        "pyrunner is a program for your own computer that lets you talk to language models. You "
        "install it with pip, give it the name of a model, and it does the rest.",
        "pyrunner is a model runner for Python that speaks the interface of Docker Model Runner.",
        "pyrunner is a model runner that is installed with pip. For example, the command "
        "pyrunner run followed by the name of a model and a question prints the answer of that "
        "model.",
    ),
    Topic(
        "GGUF",
        ("a GGUF file", "GGUF", "the GGUF format"),
        ("GGUF files", "GGUF", "the GGUF format"),
        (
            ("GGUF is the file format of llama.cpp. One GGUF file holds the weights of a language "
            "model, its vocabulary and its settings, so that nothing else is needed to run it."),
        ),
        "A GGUF file is a suitcase for a language model. Everything the model needs is packed in "
        "this one file, so you only have to carry one thing.",
        "GGUF is a file format that holds a language model with its vocabulary and settings in "
        "one file.",
        "GGUF is the file format of llama.cpp. For example, the demo model of pyrunner is a GGUF "
        "file of a few megabytes that contains all its weights and words.",
    ),
    Topic(
        "Dockerfile",
        ("a Dockerfile", "the Dockerfile"),
        ("Dockerfiles", "the Dockerfile"),
        (
            ("A Dockerfile is a text file with the steps to build an image. Each step names a "
            "base image, copies files or runs a command, and Docker turns the steps into layers."),
        ),
        "A Dockerfile is a list of instructions for Docker. Docker reads it from top to bottom, "
        "does what each line says, and the result is an image.",
        "A Dockerfile is a text file that tells Docker step by step how to build an image.",
        "A Dockerfile lists the steps to build an image. For example, the line FROM python picks "
        "the base image, and the line COPY app.py puts your program into the new image.",
    ),
    Topic(
        "tag",
        ("a tag", "an image tag", "a Docker tag"),
        ("tags", "image tags", "Docker tags"),
        (
            ("A tag is a readable label for one version of an image or model in a registry. It "
            "follows the name after a colon, and it can be moved to another version later."),
        ),
        "A tag is like a sticky note on an image. It says which version this is, and it can be "
        "taken off and put on a newer version.",
        "A tag is a movable label that names one version of an image in a registry.",
        "A tag is a label for one version of an image. For example, in the reference python:3 "
        "the name is python and the tag is 3.",
    ),
)  # fmt: skip

# Pairs that people mix up. Keys are topic keys in either order.
COMPARISONS = {
    ("image", "container"): "An image is a read-only package of files, and a container is a "
    "running process that was started from an image. One image can be the source of many "
    "containers.",
    ("image", "OCI artifact"): "An image holds files for a container and can be run. An OCI "
    "artifact uses the same storage in a registry but may hold anything, for example a language "
    "model.",
    ("Docker", "model runner"): "Docker runs applications in containers, and a model runner runs "
    "language models. Docker Model Runner brings both together.",
    ("Dockerfile", "image"): "A Dockerfile is the text with the build steps, and an image is what "
    "Docker builds from it.",
}
