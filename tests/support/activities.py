"""A small book with each activity in it, and with the ways they meet widgets and cells."""

import re

from support.small_book import cell

_TRAINING = """import torch
from torch import nn
from companion.training.losses import classification_loss

torch.manual_seed(0)
model = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
data = torch.rand(12, 1, 8, 8), torch.arange(12) % 3
choices = {"batch_size": (4, "all"), "lr": (0.01, 1e-4, 1.0)}
LiveTraining(model, classification_loss(), data, data, **choices)"""

_PICTURE = """from companion import figures

pictures = {"1": torch.zeros(2, 1, 8, 8), "2": torch.rand(2, 1, 8, 8)}
figures.image_rows(pictures, alt="Picture 1: black. Picture 2: noise.")"""

_TEXT = """
Some text before. The question comes first, and what the page knows comes after it.

```{predict}
:label: guess
:scale: 0 to 1 step 0.05
How likely is *football helmet* once a grey patch hides the head, if $p = 0.8$ before?
= helmet-hidden ± 0.1 | The head was **the** cue.
> | Many expect this: the rest of the picture says little.
< | A little is left: the shoulders.
```

CELL from companion.exercises import truth
CELL truth("helmet-hidden", 0.1234)

```{predict}
:label: choice
Which of the two has more parameters?
- [ ] AlexNet | Its last layers are large.
- [ ] GoogLeNet | It looks larger, but most of it is 1×1.
- [ ] They have the *same* number
= winner
```

CELL truth("winner", "AlexNet")

```{predict}
:label: size
:scale: 1e3 to 1e9 log
:unit: weights
How many weights does AlexNet have?
= 61100840
```

```{task}
:label: flat
:goal: p-0 < 0.2 and z-0 >= 0
Make the first class improbable without making its logit negative.
```

```{predict}
:label: read
:scale: 0 to 10
:quantity: loss
:when: p-0 < 0.05
What is the loss then, in nats?
= ± 0.2
```

```{task}
:label: cut
:goal: steps >= 2
:widget: live_training
Train for two steps or more.
```

CELL from companion.widgets import LiveTraining, Softmax; Softmax()

Between the two widgets.

TRAINING

```{recall}
- What does the KL term want, whatever the image? | $\\mu = 0$ and $\\sigma = 1$: the prior.
- Which term speaks for the image? | Only the *reconstruction*,
  which is `squared_error` here.
```

```{order}
:label: step
:or: 2 1 3 4
One training step of an autoencoder.
1. `optimizer.zero_grad()`
2. `loss = squared_error(model, images, labels)`
3. `loss.backward()`
4. `optimizer.step()`
- `loss.step()` | A loss has no step: the optimizer has one.
```

```{order}
:label: chain
From the pixels to the loss.
1. Convolve: $a = w * x$
2. Add the bias
3. Apply the ReLU
```

PICTURE

```{quiz}
Which cause fits picture 1, all black?
- [ ] The learning rate is too high.
- [x] All ReLUs are dead. | Nothing gets through.
```

```{quiz}
:label: slide
> VGG-16 has 138 layers and 16 million parameters.

What is wrong on this slide?
- [ ] Nothing.
- [x] The two numbers are exchanged. | Right: 16 layers, 138 million parameters.

---
The slide exchanges the numbers: VGG-16 has **16** layers with weights.

$$
16 \\ne 138
$$ (eq-slide)
```

```{recall}
- Why is the loss summed over pixels? | So that it is a log-likelihood.
```
"""

CONTENT = re.sub("^CELL (.*)$", lambda line: cell(line[1]), _TEXT, flags=re.MULTILINE)
CONTENT = CONTENT.replace("TRAINING", cell(_TRAINING)).replace("PICTURE", cell(_PICTURE))

PAGES = {
    "second": """# Another chapter

```{recall}
- What does AlexNet's "first" layer see, 100 % of the time? | Edges & colours, 11×11.
```
""",
    "recall": """# Recall: what is due

A sentence.

```{recall-due}
```
""",
}
