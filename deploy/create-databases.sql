-- Run once by the postgres image, when its volume is empty. Airflow uses the database POSTGRES_DB; the catalogue needs its
-- own, since both have a table alembic_version.
CREATE DATABASE face_import;
