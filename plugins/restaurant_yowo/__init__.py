"""YOLOv3, Recurrent YOLO and YOWO on restaurant videos (Gupta, Desai, Liang & Kannan)."""
