"""The exercises of chapter 3: right answers, and each plausible mistake with its hint."""

from companion.by_hand.classification import balanced_accuracy, top_k_error
from companion.by_hand.crops import centre_crop
from support.answers import answer_tests


def hits(s, y, k):
    return (s.topk(k, 1).indices == y[:, None]).any(1).double().mean()


RIGHT = {
    "top_k_error": [top_k_error, lambda s, y, k: 1 - hits(s, y, k)],
    "centre_crop": [centre_crop],
    "balanced_accuracy": [balanced_accuracy],
    "images_needed": [47_500, 47500.0, 48_000, 47_000, (47, 500), "47,500", lambda: 47_500],
}

WRONG = [
    ("top_k_error", hits, "share of hits"),
    ("top_k_error", lambda s, y, k: 100 * top_k_error(s, y, k), "percentage"),
    ("top_k_error", lambda s, y, k: 40 * top_k_error(s, y, k), "number of errors"),
    ("top_k_error", lambda s, y, k: top_k_error(s, y, 1), "k plays no role|k − 1"),
    ("top_k_error", lambda s, y, k: top_k_error(-s, y, k), "lowest"),
    ("top_k_error", lambda s, y, k: top_k_error(s, y, k + 1), "one place too many"),
    ("top_k_error", lambda s, y, k: 0.5, "For k = 2"),
    ("centre_crop", lambda x, s: x[:, :s, :s], "upper left"),
    ("centre_crop", lambda x, s: x[:, -s:, -s:], "lower right"),
    ("centre_crop", lambda x, s: x[0, :s, :s], "keeps the channels"),
    ("centre_crop", lambda x, s: centre_crop(x, s).flip(2), "mirrored"),
    ("balanced_accuracy", lambda p, y: (p == y).double().mean(), "plain accuracy"),
    ("balanced_accuracy", lambda p, y: balanced_accuracy(y, p), "group by the label"),
    ("balanced_accuracy", lambda p, y: 0.35, "does not occur"),
    ("images_needed", 4.75, "0.001, not 0.1"),
    ("images_needed", 47.5, "square root"),
    ("images_needed", 50_000, "1 − q"),
    ("images_needed", 0.0475**0.5, "number of images"),
    ("images_needed", 1500, "Solve"),
    ("images_needed", 49_000, "Solve"),
]


test_right, test_wrong, test_unanswered, test_complete = answer_tests("imagenet", RIGHT, WRONG)
