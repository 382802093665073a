from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("runs", "0008_runs_of_rules")]

    operations = [
        migrations.AddField(
            model_name="run",
            name="stop_reason",
            field=models.TextField(
                blank=True, help_text="Why it fails once the pages that other workers have in work are booked."
            ),
        ),
    ]
