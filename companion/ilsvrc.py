"""The classification task of the ILSVRC, 2010 to 2017: who won, with which error (chapter 3)."""

from dataclasses import dataclass


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
