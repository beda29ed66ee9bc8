"""What others measured on ImageNet, each figure with its source.

The challenge (ILSVRC, classification, 2010 to 2017): who won, with which error (chapter 3). And
top-1 accuracies on the validation set as the authors report them, one network, not an ensemble; the
settings differ (how many crops of an image are averaged, how large the images are, what else was
trained on), so a tenth of a per cent means nothing (chapter 8).
"""

from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True)
class Entry:
    """The best entry of a year in the classification task.

    `top5_error` is in percent, on the test images, trained on nothing but the data that the
    challenge provided; `known_as` is the name under which the entry is remembered, `source` says
    where the figure is printed.
    """

    year: int
    team: str
    known_as: str
    method: str
    top5_error: float
    source: str


WINNERS = (
    Entry(2010, "NEC-UIUC", "NEC-UIUC", "hand-made features, SVM", 28.2, "Russakovsky 2015"),
    Entry(2011, "XRCE", "XRCE", "Fisher vectors, SVM", 25.8, "Russakovsky 2015"),
    Entry(2012, "SuperVision", "AlexNet", "AlexNet", 16.4, "ILSVRC 2012"),
    Entry(2013, "Clarifai", "Clarifai", "a refined AlexNet", 11.7, "Russakovsky 2015"),
    Entry(2014, "GoogLeNet", "GoogLeNet", "Inception", 6.67, "Szegedy 2015"),
    Entry(2015, "MSRA", "ResNet", "ResNet", 3.57, "He 2016"),
    Entry(2016, "Trimps-Soushen", "Trimps", "several networks", 2.99, "ILSVRC 2016"),
    Entry(2017, "WMW", "SENet", "SENet", 2.25, "Hu 2018"),
)
"""One entry a year, in order."""

HUMAN_ERROR, HUMAN_IMAGES = 5.1, 1500
"""Top-5 error in percent of annotator A1, and on how many images (Russakovsky 2015, §6.4)."""


class Result(NamedTuple):
    """One published result.

    `year` with the month as a fraction, of the first public version with this figure or, where
    later versions correct it, one within 0.1; `top1` in per cent; `parameters` in millions;
    `operations` in 10⁹ multiplications for one image, None where the source has none; `extra_data`
    says what it was trained on beside ImageNet's 1.28 million images, "" for nothing (JFT is a set
    of Google's own); `source` says where `top1` stands.
    """

    name: str
    year: float
    top1: float
    parameters: float
    operations: float | None
    extra_data: str
    source: str


_TAN = "Tan 2019, table 2"

#: Networks that were among the best, in the order in which they became public.
STATE_OF_THE_ART = (
    Result("AlexNet", 2012.9, 59.3, 61, None, "", "Krizhevsky 2012, table 2"),
    Result("VGG-19", 2014.7, 74.5, 144, None, "", "Simonyan 2015, table 3"),
    Result("ResNet-152", 2015.9, 77.8, 60, 11, "", _TAN),
    Result("Inception-v3", 2015.9, 78.8, 24, 5.7, "", _TAN),
    Result("Inception-ResNet-v2", 2016.2, 80.1, 56, 13, "", _TAN),
    Result("ResNeXt-101", 2016.9, 80.9, 84, 32, "", _TAN),
    Result("NASNet-A", 2017.5, 82.7, 89, 24, "", _TAN),
    Result("PNASNet", 2017.9, 82.9, 86, 23, "", _TAN),
    Result("ResNeXt-101 WSL", 2018.4, 85.4, 829, None, "940 M Instagram",
           "Mahajan 2018, abstract"),
    Result("GPipe", 2018.9, 84.3, 557, None, "", _TAN),
    Result("EfficientNet-B7", 2019.4, 84.3, 66, 37, "", _TAN),
    Result("Noisy Student", 2020.1, 88.4, 480, None, "300 M JFT, unlabelled",
           "Xie 2020, abstract"),
    Result("Meta Pseudo Labels", 2021.0, 90.2, 480, None, "300 M JFT, unlabelled",
           "Pham 2021, abstract"),
    Result("CoAtNet-7", 2021.7, 90.88, 2440, None, "3,000 M JFT",
           "Dai 2021, abstract"),
    Result("CoCa", 2022.4, 91.0, 2100, None,
           "3,000 M JFT, 1,800 M captioned", "Yu 2022, abstract"),
)  # fmt: skip

#: EfficientNet in the last version of its paper (arXiv v5, 2020). Its "FLOPs" are multiplications.
EFFICIENTNETS = tuple(
    Result(f"EfficientNet-B{n}", 2019.4, top1, parameters, operations, "", _TAN)
    for n, (top1, parameters, operations) in enumerate(
        [
            (77.1, 5.3, 0.39),
            (79.1, 7.8, 0.70),
            (80.1, 9.2, 1.0),
            (81.6, 12, 1.8),
            (82.9, 19, 4.2),
            (83.6, 30, 9.9),
            (84.0, 43, 19),
            (84.3, 66, 37),
        ]
    )
)

#: Networks by others that the same table compares them with, all on one crop of each image.
RIVALS = tuple(
    Result(name, year, top1, parameters, operations, "", _TAN)
    for name, year, top1, parameters, operations in [
        ("ResNet-50", 2015.9, 76.0, 26, 4.1),
        ("ResNet-152", 2015.9, 77.8, 60, 11),
        ("DenseNet-264", 2016.6, 77.9, 34, 6.0),
        ("Inception-v3", 2015.9, 78.8, 24, 5.7),
        ("Xception", 2016.8, 79.0, 23, 8.4),
        ("Inception-v4", 2016.2, 80.0, 48, 13),
        ("Inception-ResNet-v2", 2016.2, 80.1, 56, 13),
        ("ResNeXt-101", 2016.9, 80.9, 84, 32),
        ("PolyNet", 2016.9, 81.3, 92, 35),
        ("SENet", 2017.7, 82.7, 146, 42),
        ("NASNet-A", 2017.5, 82.7, 89, 24),
        ("AmoebaNet-A", 2018.1, 82.8, 87, 23),
        ("PNASNet", 2017.9, 82.9, 86, 23),
        ("AmoebaNet-C", 2018.4, 83.5, 155, 41),
    ]
)
