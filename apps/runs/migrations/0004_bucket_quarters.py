from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("runs", "0003_log_of_records")]
    operations = [
        migrations.AlterField(
            model_name="bucket",
            name="grain",
            field=models.PositiveSmallIntegerField(
                choices=[(1, "Minute"), (30, "Half hour"), (360, "Quarter of a day")]
            ),
        ),
    ]
