# What embryologists use today: hours of divisions and the intervals between them, fitted in one go.
custom_imports = dict(imports=['vidsuite_plugins.blastocyst_dnn.models.classifier', 'vidsuite_plugins.blastocyst_dnn.data'])
until = 80
data = dict(type='vidsuite.ClipDataset', pipeline=[dict(type='blastocyst_dnn.PackEvents', until='config://until')])
model = dict(type='blastocyst_dnn.Morphokinetics', kind='logistic', num_classes='dataset')
train_dataloader = dict(batch_size=500, dataset='config://data')
val_dataloader = dict(batch_size=500, dataset='config://data')
