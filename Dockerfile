# The workers' image. Which of them runs, and with what settings, is said in docker-compose.yml.
FROM python:3.12.11-slim

ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1

WORKDIR /app

# The packages of requirements.lock that the workers need, by version and hash; nothing is compiled.
COPY requirements-run.lock ./
RUN pip install --require-hashes --only-binary :all: -r requirements-run.lock

COPY streams streams
COPY agents agents
COPY tables tables
COPY sender sender
COPY templates templates

# Nobody in particular: owns nothing, has no shell and no home.
USER 10001:10001

# `python -m` finds the packages where they lie; an exec form hands signals on.
ENTRYPOINT ["python", "-m", "faust", "-L", "uvloop", "-q"]
CMD ["-A", "streams.app", "worker", "-l", "warn"]
