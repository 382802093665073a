from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("flows", "0004_integration_owner"),
    ]

    operations = [
        migrations.AddField(
            model_name="flow",
            name="auto_retry",
            field=models.BooleanField(default=True),
        ),
    ]
