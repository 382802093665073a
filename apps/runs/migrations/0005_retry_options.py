"""What a retry was asked to do beside sending its records again; records whose trace keys collide are counted."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("runs", "0004_workflow_retry")]

    operations = [
        migrations.AddField(
            "run",
            "includes_rest",
            models.BooleanField(
                default=False, help_text="A retry that also does the steps that went on when its records failed."
            ),
        ),
        migrations.AddField(
            "run",
            "is_forced",
            models.BooleanField(
                default=False, help_text="A retry that sends records although a newer pass of theirs went through."
            ),
        ),
        migrations.AddField(
            "steprun",
            "collisions",
            models.BigIntegerField(
                default=0, help_text="Records that share their trace key with another record of the run."
            ),
        ),
    ]
