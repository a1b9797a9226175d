# Airflow with paylog in it. Build with: docker compose build
FROM apache/airflow:3.3.2-python3.11

COPY --chown=airflow:root pyproject.toml README.md build_native.py constraints.txt /opt/paylog/
COPY --chown=airflow:root src /opt/paylog/src
RUN pip install --no-cache-dir -c /opt/paylog/constraints.txt '/opt/paylog[celery,db2,s3,azure,gcs,serve]'

COPY --chown=airflow:root dags /opt/airflow/dags
COPY --chown=airflow:root deploy/entrypoint.py /opt/paylog/deploy/entrypoint.py
# An empty named volume takes the owner of the folder that it covers: nothing has to run as root.
RUN mkdir -p /opt/airflow/passwords /opt/airflow/logs
ENV PAYLOG_SUBSCRIPTIONS=/opt/airflow/subscriptions
USER airflow
