"""One Airflow DAG for every file of the subscriptions folder (``PAYLOG_SUBSCRIPTIONS``)."""

from paylog.airflow.folder import subscription_dags, subscriptions_folder

globals().update(subscription_dags(subscriptions_folder(__file__)))
