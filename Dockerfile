# One image for every service of docker-compose.yaml. It has both environments that `make setup` makes: the product's
# (.venv), and that of the embedded face services, whose libraries Airflow cannot live with (.venv-services).
FROM python:3.12-slim-bookworm

ENV PIP_NO_CACHE_DIR=1 \
    UV_NO_CACHE=1 \
    PYTHONUNBUFFERED=1 \
    # Airflow 3.3.2 uses a name that pathspec has deprecated, and would say so in every task's log.
    PYTHONWARNINGS=ignore:GitWildMatchPattern

WORKDIR /opt/face-import

# Only what decides which packages are installed: a change of the code does not install them again.
COPY pyproject.toml README.md requirements.in requirements.txt ./
COPY face_services/requirements.txt face_services/
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

# A named volume takes the owner and the mode of the folder it is mounted over.
RUN useradd --uid 50000 --no-create-home --home-dir /var/lib/face-import face-import \
    && install --directory --owner face-import --group face-import --mode 0700 \
        /var/lib/face-import /var/lib/face-import/airflow /var/lib/face-library

ENV PATH=/opt/face-import/.venv/bin:$PATH \
    PYTHONPATH=/opt/face-import/config:/opt/face-import/plugins:/opt/face-import \
    FACE_IMPORT_HOME=/var/lib/face-import \
    AIRFLOW_HOME=/var/lib/face-import/airflow

USER face-import
CMD ["face-import", "--help"]
