from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0006_people_and_sign_in")]

    operations = [
        migrations.AddField(model_name="keptanswer", name="headers", field=models.JSONField(blank=True, default=dict)),
    ]
