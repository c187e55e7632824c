# One image for every service of docker-compose.yaml, with the environment of `make setup`.
FROM python:3.12-slim-bookworm

ENV PIP_NO_CACHE_DIR=1 \
    UV_NO_CACHE=1 \
    PYTHONUNBUFFERED=1 \
    # Airflow 3.3.2 uses a name deprecated by pathspec, with a warning in every task's log.
    PYTHONWARNINGS="ignore:GitWildMatchPattern,ignore:Using `httpx`"

WORKDIR /opt/face-import

# Only what determines the installed packages, so that code changes do not reinstall them.
COPY pyproject.toml README.md requirements.in requirements.txt ./
COPY scripts/setup.py scripts/uv-requirements.txt scripts/
COPY plugins/face_import/__init__.py plugins/face_import/
COPY api_shim/__init__.py api_shim/
COPY face_console/__init__.py face_console/
RUN python scripts/setup.py && rm -r .uv

COPY LICENSE ./
COPY config config
COPY dags dags
COPY plugins plugins
COPY api_shim api_shim
COPY face_console face_console
COPY face_services face_services

# A named volume inherits owner and mode from the folder that it is mounted on.
RUN useradd --uid 50000 --no-create-home --home-dir /var/lib/face-import face-import \
    && install --directory --owner face-import --group face-import --mode 0700 \
        /var/lib/face-import /var/lib/face-import/airflow /var/lib/face-library

ENV PATH=/opt/face-import/.venv/bin:$PATH \
    PYTHONPATH=/opt/face-import/config:/opt/face-import/plugins:/opt/face-import \
    FACE_IMPORT_HOME=/var/lib/face-import \
    AIRFLOW_HOME=/var/lib/face-import/airflow

USER face-import
CMD ["face-import", "--help"]
