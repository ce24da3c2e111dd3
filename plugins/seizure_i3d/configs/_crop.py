# Section 3.3.1: Mask R-CNN on the first frame, bed and person merged, 20 % more on each side.
# Boxes that a recording brings along are used in place of detected ones (source="detector" to detect always).
# A second detector: crop.detector.config=yolox/yolox_nano_8xb8-300e_coco crop.detector.weights=weights://yolox_nano_coco
crop = dict(
    source='auto',
    labels=('bed', 'person'),
    expand=0.2,
    min_score=0.7,
    detector=dict(
        config='mask_rcnn/mask-rcnn_r101_fpn_2x_coco',
        weights='weights://mask_rcnn_r101_fpn_coco'))
settle = 'vidsuite_plugins.seizure_i3d.crop.reader:settle'

# How clips are read (section 3.3.2), the same for all models; a dataset may change these fields for all at once.
size = 224
fps = None            # frames a second that clips are shown at; None: as recorded
between = 'nearest'   # or 'linear': what is shown between two frames where fps is above their rate
steps = 7             # I3D's steps of a whole clip: ceil(60 / 8) - 1
views = (0,)          # sides that the features are computed from, see models/views.py
read = dict(
    type='seizure_i3d.ReadCropped', size='config://size', crop='config://crop', fps='config://fps',
    between='config://between')
