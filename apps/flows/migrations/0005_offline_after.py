"""How many failures in a row take a connection offline is said by the connection."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("flows", "0004_share"),
    ]

    operations = [
        migrations.AddField(
            model_name="connection",
            name="offline_after",
            field=models.PositiveSmallIntegerField(default=3, help_text="Failures in a row that take it offline."),
        ),
    ]
