"""jm-teacher: any registered teacher, served over the Open Inference Protocol v2 to callers on other machines."""
