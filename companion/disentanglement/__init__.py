"""Whether each factor of the data has a latent of its own (chapter 13): four metrics.

`mig`, `sap`, `dci` and `factor_vae_score` take **factors** and **codes** as arrays. Factors are a
mapping from a name to N values, as `ImageSet.factors` is, or an array N×F: whole numbers, booleans
and strings are classes, floats are continuous. Codes are N×d floats, for example the means μ of a
VAE. Rows should be a sample without order in which the factors are independent.

All raise ValueError, in one sentence, for values that are not finite, for fewer than two rows, for
lengths that differ, and for a factor or a latent that is the same in all rows.

`spoil` makes codes of which it is known what a metric should say; `rotation`, `rotated_kl` and
`rotated_negative_elbo` are about what a VAE's loss cannot see.
"""

from companion.disentanglement.alignment import Match, align, match_latents
from companion.disentanglement.explained import explained, separation
from companion.disentanglement.information import (
    entropies,
    gap,
    mutual_information,
    posterior_information,
)
from companion.disentanglement.rotation import (
    diagonal_loss,
    rotated_kl,
    rotated_negative_elbo,
    rotation,
)
from companion.disentanglement.scores import DCI, dci, factor_vae_score, mig, sap, sap_table
from companion.disentanglement.toys import spoil

__all__ = [
    "DCI",
    "Match",
    "align",
    "dci",
    "diagonal_loss",
    "entropies",
    "explained",
    "factor_vae_score",
    "gap",
    "match_latents",
    "mig",
    "mutual_information",
    "posterior_information",
    "rotated_kl",
    "rotated_negative_elbo",
    "rotation",
    "sap",
    "sap_table",
    "separation",
    "spoil",
]
