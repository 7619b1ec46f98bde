"""A YOLO for instance segmentation that a test can wait for: every layer of the two real ones, few channels."""

import torch

from training.teachers.yolo_layers import BOX, Yolo


def tiny_architecture(head="ISegment"):
    """Channels are multiples of 8 after scaling, depths one or two; three classes, four prototypes."""
    return {
        "nc": 3,
        "width_multiple": 0.5,
        "depth_multiple": 0.34,
        "anchors": [[4, 6, 8, 12], [16, 20, 24, 40], [48, 60, 90, 80]],
        "backbone": [
            [-1, 1, "Conv", [16, 6, 2, 2]],  # 0, stride 2
            [-1, 1, "Conv", [16, 3, 2]],
            [-1, 6, "C3", [16]],  # 2, stride 4
            [-1, 1, "MP", []],
            [-1, 1, "Conv", [16, 1, 1]],
            [-3, 1, "Conv", [16, 3, 2]],
            [[-1, -2], 1, "Concat", [1]],  # 6, stride 8
            [-1, 1, "Conv", [32, 3, 2]],
            [-1, 1, "SPPF", [32, 5]],  # 8, stride 16
            [-1, 1, "Conv", [32, 3, 2]],
            [-1, 1, "SPPCSPC", [32]],  # 10, stride 32
        ],
        "head": [
            [-1, 1, "nn.Upsample", ["None", 2, "nearest"]],
            [[-1, 8], 1, "Concat", [1]],
            [-1, 3, "C3", [32, False]],  # 13, stride 16
            [[6, 13, 10], 1, head, ["nc", "anchors", 4, 16]],
        ],
    }


def tiny_yolo(sees_people=True):
    """With random weights; where it sees people, it is sure of one in every cell."""
    torch.manual_seed(0)
    network = Yolo(tiny_architecture())
    head = network.model[-1]
    with torch.no_grad():
        for conv in head.m:
            bias = conv.bias.view(-1, head.outputs)
            bias[:, BOX - 1] = 4 if sees_people else -4
            bias[:, BOX] = 4
    return network
