"""Networks that score a feature together with the attributes of each class."""

from torch import Tensor, nn
from torch.nn.functional import linear


class Relation(nn.Module):
    """r(x, a) = w2 act(W1 [x; a]) for every pair of a feature x and a class a (Sung et al., 2018).

    W1 [x; a] is computed as the sum of both parts: no pair is built before the hidden layer.

    Args:
        size: Of a feature.
        attributes: Of a class.
        hidden: Units between.
        activation: Of these.
    """

    def __init__(self, size: int, attributes: int, hidden: int, activation: nn.Module) -> None:
        super().__init__()
        self.size = size
        self.hidden = nn.Linear(size + attributes, hidden)
        self.activation = activation
        self.value = nn.Linear(hidden, 1)

    def forward(self, features: Tensor, attributes: Tensor) -> Tensor:
        """Return `[B, C]` scores of features `[B, size]` with classes `[C, attributes]`."""
        weight = self.hidden.weight
        of_features = linear(features, weight[:, : self.size], self.hidden.bias)
        pairs = of_features[:, None] + linear(attributes, weight[:, self.size :])
        scores: Tensor = self.value(self.activation(pairs))
        return scores.squeeze(2)
