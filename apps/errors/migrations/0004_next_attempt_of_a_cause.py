from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("errors", "0003_removed_errors")]

    operations = [
        migrations.RemoveIndex(model_name="error", name="errors_at_work"),
        migrations.AddIndex(
            model_name="error",
            index=models.Index(
                condition=models.Q(("next_attempt_at__isnull", False), ("retry_run__isnull", False), _connector="OR"),
                fields=["cause", "next_attempt_at"],
                include=("account", "attempts", "retry_run"),
                name="errors_at_work",
            ),
        ),
    ]
