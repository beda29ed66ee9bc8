"""The classification task of the ILSVRC, 2010 to 2017: who won, with which error (chapter 3)."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """The best entry of a year in the classification task.

    `top5_error` is in percent, on the test images, trained on nothing but the data that the
    challenge provided; `layers` counts layers with weights where the entry was one kind of network
    (None for others). `source` is where the figure is printed.
    """

    year: int
    team: str
    method: str
    top5_error: float
    layers: int | None
    source: str


WINNERS = (
    Entry(2010, "NEC-UIUC", "hand-made features, SVM", 28.2, None, "Russakovsky 2015"),
    Entry(2011, "XRCE", "Fisher vectors, SVM", 25.8, None, "Russakovsky 2015"),
    Entry(2012, "SuperVision", "AlexNet", 16.4, 8, "Russakovsky 2015"),
    Entry(2013, "Clarifai", "a refined AlexNet", 11.7, None, "Russakovsky 2015"),
    Entry(2014, "GoogLeNet", "Inception", 6.67, 22, "Szegedy 2015"),
    Entry(2015, "MSRA", "ResNet", 3.57, 152, "He 2016"),
    Entry(2016, "Trimps-Soushen", "several networks", 2.99, None, "ILSVRC 2016"),
    Entry(2017, "WMW", "SENet", 2.25, 154, "Hu 2018"),
)
"""One entry a year, in order."""

HUMAN_ERROR, HUMAN_IMAGES = 5.1, 1500
"""Top-5 error in percent of annotator A1, and on how many images (Russakovsky 2015, §6.4)."""
