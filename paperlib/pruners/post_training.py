"""Methods of pruning tutorials: they start from a trained network."""

from paperlib.pruners import criteria
from paperlib.pruners.masks import Masks
from paperlib.pruners.methods import Method, PostTraining, Pruning


class PostTrainingRandom(PostTraining):
    """Random weights removed from the trained dense network: what `post-training` is worth beyond its count."""

    def final_masks(self, pruning: Pruning, masks: Masks) -> Masks:
        return pruning.remove_lowest(pruning.random_score)


class Threshold(PostTraining):
    """All weights with |w| below the trial's threshold removed from the trained dense network.

    The sparsity is what comes out, layer by layer, but each keeps its largest weight: none is empty. Filters stay.
    """

    def final_masks(self, pruning: Pruning, masks: Masks) -> Masks:
        scores = {x.name: criteria.l1(x) for x in pruning.targets if x.unit == "weight"}
        return {name: score >= min(pruning.trial.threshold, float(score.max())) for name, score in scores.items()}


class Iterative(Method):
    """Prune and fine-tune in rounds (Han et al. 2015, https://arxiv.org/abs/1506.02626): the first half of the epochs
    trains densely, then each epoch is one round: the smallest L1 go, by the same factor of what is left each time,
    and the rest trains on.

    The budget equals that of the other methods. With one epoch there is no fine-tuning, as in `post-training`.
    """

    in_rounds = True

    def update_masks(self, pruning: Pruning, masks: Masks, epoch: int) -> Masks:
        rounds = pruning.trial.epochs // 2
        done = epoch + 1 - (pruning.trial.epochs - rounds)
        if not rounds or done <= 0:
            return masks
        return pruning.remove_smallest_l1(lambda sparsity: 1 - (1 - sparsity) ** (done / rounds))

    def final_masks(self, pruning: Pruning, masks: Masks) -> Masks:
        return masks or pruning.remove_smallest_l1(lambda sparsity: 1 - (1 - sparsity) ** 1.0)
