"""Holds no DAG. Fails to import while a subscription is wrong, so that Airflow shows file, line and mend."""

from paylog.airflow.folder import check_subscriptions, subscriptions_folder

check_subscriptions(subscriptions_folder(__file__))
