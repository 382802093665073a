"""The queue's table has no index for the question that every worker asks ten times a second."""

from django.db import migrations


class Migration(migrations.Migration):
    initial = True
    dependencies = [("django_q", "0019_alter_task_options_alter_ormq_key_alter_ormq_lock_and_more")]
    operations = [
        migrations.RunSQL(
            "CREATE INDEX ormq_waiting_by_key ON django_q_ormq (key, lock)", "DROP INDEX ormq_waiting_by_key"
        )
    ]
