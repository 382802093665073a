from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("errors", "0007_rules"),
    ]

    operations = [
        migrations.AddField(
            model_name="bulkact",
            name="hinted_until",
            field=models.DateTimeField(blank=True, help_text="Before that nobody hints at it again.", null=True),
        ),
    ]
