# One image for every service of docker-compose.yaml, with the environment of `make setup`.
FROM python:3.12-slim-bookworm AS build

# Where pip finds packages, if not on PyPI. Arguments of this stage are in no layer of the image.
ARG PIP_INDEX_URL
ARG PIP_CERT
ENV PIP_NO_CACHE_DIR=1 \
    UV_NO_CACHE=1

WORKDIR /opt/face-import

# Only what determines the installed packages, so that code changes do not reinstall them.
COPY pyproject.toml README.md requirements.in requirements.txt ./
COPY scripts/setup.py scripts/uv-requirements.txt scripts/
COPY plugins/face_import/__init__.py plugins/face_import/
COPY api_shim/__init__.py api_shim/
COPY face_console/__init__.py face_console/
RUN python scripts/setup.py


FROM python:3.12-slim-bookworm

LABEL org.opencontainers.image.title="Face import" \
      org.opencontainers.image.description="Batch import of face images into face libraries, as an Airflow pipeline" \
      org.opencontainers.image.version="1.0.0" \
      org.opencontainers.image.licenses="Apache-2.0"

# Airflow 3.3.2 uses a name deprecated by pathspec, with a warning in every task's log.
ENV PYTHONUNBUFFERED=1 \
    PYTHONWARNINGS="ignore:GitWildMatchPattern,ignore:Using `httpx`" \
    PATH=/opt/face-import/.venv/bin:$PATH \
    PYTHONPATH=/opt/face-import/config:/opt/face-import/plugins:/opt/face-import \
    FACE_IMPORT_HOME=/var/lib/face-import \
    AIRFLOW_HOME=/var/lib/face-import/airflow

WORKDIR /opt/face-import
COPY --from=build /opt/face-import/.venv .venv
COPY deploy/answers /usr/local/bin/
COPY LICENSE pyproject.toml ./
COPY config config
COPY dags dags
COPY plugins plugins
COPY api_shim api_shim
COPY face_console face_console
COPY face_services face_services

# Readable whatever the checkout's umask was, and compiled, since nothing can be written here later. A named volume
# inherits owner, mode and folders from the one that it is mounted on.
RUN chmod -R go=rX LICENSE pyproject.toml config dags plugins api_shim face_console face_services /usr/local/bin/answers \
    && python -m compileall -q config dags plugins api_shim face_console face_services \
    && useradd --uid 50000 --no-create-home --home-dir /var/lib/face-import face-import \
    && install --directory --owner face-import --group face-import --mode 0700 \
        /var/lib/face-import /var/lib/face-import/secrets /var/lib/face-import/logs /var/lib/face-import/tmp \
        /var/lib/face-import/airflow /var/lib/face-import/airflow/logs /var/lib/face-library

USER face-import
CMD ["face-import", "--help"]
