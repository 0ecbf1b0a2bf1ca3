"""HTTP: the OpenAI and Docker Model Runner dialects on Falcon, served by waitress."""
