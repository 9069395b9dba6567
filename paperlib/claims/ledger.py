"""The 69 claims of both papers in our words. To add one: a line here, and a test of the same id in a file beside.

P: Inference and training efficiency in pruned multilayer perceptron networks (2026), claims A1 to A6.
F: A comparative study of neural network pruning strategies for industrial applications (2025), C1 to C63.
Scenarios of F: i prunes 80 % of filters and linear weights, ii 50 % and 80 %, iii linear weights only.
"""

from dataclasses import dataclass
from typing import get_args

from paperlib.claims.builders import Test
from paperlib.claims.verdict import Kind


@dataclass(frozen=True)
class Claim:
    """One sentence of a paper that can be true or false. section: the paper and where it says so."""

    id: str
    section: str
    kind: Kind
    text: str
    test: Test


_TEXT = """
A1 | P abstract | time | Small MLP on MNIST at 50 %: a third less inference energy and time, 0.49 % less accuracy.
A2 | P abstract | time | Layer-wise pruning consistently cuts inference time and energy and keeps accuracy.
A3 | P abstract | energy | Training energy, CO2 and peak memory are lower layer-wise than with global pruning.
A4 | P abstract | time | Pruning makes both training and inference cheaper.
A5 | P abstract | time | What holds for the MLPs also holds for VGG-16.
A6 | P abstract | accuracy | Layer-wise pruning loses next to no accuracy.
C1 | F abstract, 6 | energy | SET saves energy without losing accuracy.
C2 | F 1 | memory | Sparse networks need less memory and infer faster.
C3 | F 2 | accuracy | On BloodMNIST the sparse networks beat Doerrich et al. by about 2 points on average.
C4 | F 2 | internal consistency | Sparse networks reach 86 % on VisA, like APRIL-GAN's 86.87 % accuracy.
C5 | F 2 | accuracy | Dense VGG16 and ResNet18 reach about 86 % on VisA.
C6 | F 2 | accuracy | Removing half of the filters raises accuracy.
C7 | F 2 | time | On a laptop's CPU pruned networks are as accurate as dense ones and faster.
C8 | F 3.1.1 | time | Pruning before training lowers computation and makes training faster.
C9 | F 3.1.3, 6 | accuracy | Post-Training cannot adapt any more and takes over the dense network's overfitting.
C10 | F 3.1.4 | count | SET and In-Training differ in their first graph only.
C11 | F 3.2.1, 4.7 | count | VGG16 has 138 M parameters, VGG19 143 M, ResNet18 11 M.
C12 | F 3.3 | count | Splits are 70/20/10 (train, test, validation), VisA 80/20 of 10,821 = 9,621 + 1,200 images.
C13 | F 3.5 | count | PyTorch does not allow pruning during training.
C14 | F 3.5 | energy | The laptop needs about half the training energy of the HPC system.
C15 | F 3.5 | accuracy | Above 80 % sparsity training fails after about 10 epochs.
C16 | F 3.5 | accuracy | 50 % sparsity gives comparable accuracy.
C17 | F 3.5 | accuracy | Three repeats agree with each other.
C18 | F 3.5 | energy | Zeus cannot tell the energy of one partition of a GPU.
C19 | F 4.1 | accuracy | Scenario i, VGG16, BloodMNIST and MVTec3D: training accuracy stays near 20 % (Pre, SET).
C20 | F 4.1 | accuracy | The same with ResNet18: near 50 %.
C21 | F 4.1 | accuracy | In scenario ii training accuracy is closer to dense than in i.
C22 | F 4.1 | accuracy | In scenario iii training accuracy mostly matches dense.
C23 | F 4.1 | accuracy | On VisA training accuracy is as good as dense in every scenario.
C24 | F 4.2 | accuracy | Scenario i, VGG16, BloodMNIST and MVTec3D: the loss stays near 2 (In-Training, SET).
C25 | F 4.2 | accuracy | On VisA the training loss stays near 0.35.
C26 | F 4.2 | accuracy | In scenario ii the loss falls steadily over all epochs, but not on VisA.
C27 | F 4.2 | accuracy | In scenario iii the training loss is close to dense.
C28 | F 4.3 | time | SET and In-Training train more slowly than dense; Pre- and Post-Training cost little.
C29 | F 4.3 | time | Post-Training needs no new training for another sparsity.
C30 | F 4.3 | internal consistency | SET trains at most as long as dense, or comparably, in 85 of 90 cases (94 %).
C31 | F 4.3 | time | VGG16, MVTec3D, scenario iii: SET trains as fast as dense, the others more slowly.
C32 | F 4.3 | time | VGG16, VisA, scenario i: every pruned network trains more slowly than dense.
C33 | F 4.3 | time | ResNet18, VisA, scenario i: dense trains more slowly than every pruned network.
C34 | F 4.3 | time | ResNet18 trains faster than VGG16, but not noticeably on VisA.
C35 | F 4.3 | count | ResNet18 is faster in spite of more convolutions, thanks to its residual blocks.
C36 | F 4.4 | accuracy | Pruning 50 % instead of 80 % of the filters raises the test accuracy of SET everywhere.
C37 | F 4.4 | accuracy | MVTec3D, scenario i: VGG16 near 10 %, ResNet18 at most 30 %.
C38 | F 4.4 | accuracy | MVTec3D, scenario ii: both models near 90 %.
C39 | F 4.4 | accuracy | MVTec3D, scenario iii: all methods like dense, near 92 %.
C40 | F 4.4 | accuracy | Scenario i: ResNet18 beats VGG16 for every method but Post-Training, where it is the reverse.
C41 | F 4.4 | accuracy | Pre-Training, VGG16, MVTec3D: below 20 % in scenario i, above 90 % in iii.
C42 | F 4.4 | accuracy | Test accuracy rises in all experiments as fewer filters are removed.
C43 | F 4.5 | time | Inference takes 0.002 to 0.008 s on average (HPC).
C44 | F 4.5 | internal consistency | SET infers as fast as dense in 12 of 18 cases ("75 %").
C45 | F 4.5 | time | In the other cases SET takes at most 0.002 s more.
C46 | F 4.6 | energy | SET needs less training energy than dense in every plot, data set and model.
C47 | F 4.6 | energy | ResNet18 always needs less training energy than VGG16.
C48 | F 4.6 | energy | MVTec3D: 2.7e6 J on average for VGG16, 1.1e6 J for ResNet18 (a ratio of 0.41).
C49 | F 4.6 | energy | BloodMNIST: 0.6e6 J for VGG16, 0.2e6 J for ResNet18 (a ratio of 0.33).
C50 | F 4.6 | energy | Figure 15, VGG16, MVTec3D: In- and Post-Training like dense, above Pre-Training and SET.
C51 | F 4.6 | energy | Figure 17, VGG16, MVTec3D: Pre-, In- and Post-Training above dense and SET.
C52 | F 4.7 | time | On the laptop's CPU dense infers more slowly than pruned in all tests.
C53 | F 4.7 | time | On the laptop's CPU 80 % of filters removed is faster than 50 %.
C54 | F 4.7 | energy | VGG16 takes more inference energy than ResNet18 on the laptop.
C55 | F 4.7 | energy | Pruned networks take less inference energy than dense, but save less than expected (masks).
C56 | F 4.7 | time | What is gained on the HPC system is also gained on the laptop.
C57 | F 5 | accuracy | Removing 80 % instead of 50 % of the filters costs up to 80 points of accuracy.
C58 | F 5 | accuracy | Pruning linear layers only (80 %) is comparable to dense in 21 of 24 cases (87.5 %).
C59 | F 5 | energy | Anomalies in energy go with anomalies in training time.
C60 | F 5 | internal consistency | Pruned networks are more energy-efficient than dense ones.
C61 | F 5 | energy | More sparsity does not consistently cut energy.
C62 | F 6 | energy | SET needs less training energy than the other three methods, consistently.
C63 | F 6 | internal consistency | The other methods reduce training energy, too.
"""


def _ledger() -> dict[str, Claim]:
    from paperlib.claims import accuracy, costs, facts

    tests = accuracy.TESTS | costs.TESTS | facts.TESTS
    rows = [[part.strip() for part in line.split("|", 3)] for line in _TEXT.strip().splitlines()]
    kinds: dict[str, Kind] = {kind: kind for kind in get_args(Kind)}
    return {id_: Claim(id_, section, kinds[kind], text, tests[id_]) for id_, section, kind, text in rows}


CLAIMS = _ledger()
