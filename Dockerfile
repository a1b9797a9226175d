# Airflow with paylog in it. Build with: docker compose build
FROM apache/airflow:3.3.2-python3.11

COPY --chown=airflow:root pyproject.toml README.md constraints.txt /opt/paylog/
COPY --chown=airflow:root src /opt/paylog/src
RUN pip install --no-cache-dir -c /opt/paylog/constraints.txt '/opt/paylog[celery]'

COPY --chown=airflow:root dags /opt/airflow/dags
ENV PAYLOG_SUBSCRIPTIONS=/opt/airflow/subscriptions
