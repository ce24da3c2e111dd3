# What can be said without a picture.
custom_imports = dict(imports=['vidsuite_plugins.embryo_timelapse.phases.models', 'vidsuite_plugins.embryo_timelapse.phases.reading'])

data = dict(type='embryo_timelapse.PhasesDataset', pipeline=[dict(type='embryo_timelapse.PackPhases')])
train_dataloader = dict(batch_size=1, dataset='config://data')
test_dataloader = dict(batch_size=1, dataset='config://data')
