from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("errors", "0005_what_purges_leave")]

    operations = [
        migrations.RemoveIndex(model_name="error", name="errors_noted"),
        migrations.AddIndex(
            model_name="error",
            index=models.Index(
                condition=models.Q(("has_notes", True)),
                fields=["account", "cause", "id"],
                include=("flow", "state", "retry_run"),
                name="errors_noted",
            ),
        ),
    ]
