from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("runs", "0006_removed_errors")]

    operations = [
        migrations.AddField(model_name="machine", name="dispatches", field=models.BooleanField(default=False)),
    ]
