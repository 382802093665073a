"""A root cause keeps the class that the rules gave it while a member's class stands in its place."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("errors", "0006_mark_sent"),
    ]

    operations = [
        migrations.AddField(
            model_name="cause",
            name="class_by_rule",
            field=models.CharField(
                blank=True,
                choices=[
                    ("connection", "Connection"),
                    ("intermittent", "Intermittent"),
                    ("rate_limit", "Rate limit"),
                    ("too_large", "Too large"),
                    ("duplicate", "Duplicate"),
                    ("missing", "Missing"),
                    ("parse", "Parse"),
                    ("value", "Value"),
                    ("none", "None"),
                ],
                help_text="What a member's class replaced.",
                max_length=16,
            ),
        ),
    ]
