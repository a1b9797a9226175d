"""The Airflow DAG that keeps the data marts of all subscriptions in shape (``PAYLOG_SUBSCRIPTIONS``)."""

from paylog.airflow.folder import maintenance_dags, subscriptions_folder

globals().update(maintenance_dags(subscriptions_folder(__file__)))
