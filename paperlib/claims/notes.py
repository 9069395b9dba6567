"""Remarks on single claims: how a sentence is read where that took a decision, and what its paper says elsewhere.

They stand on the pages of the report and, in italics, in docs/papers.md.
"""

_ADAPTING = (
    "Post-Training, which trains nothing after it has pruned, stands beside; VisA is judged on balanced accuracy."
)
_EXCEPTIONS = "F names exceptions itself (C50, C51); the others are judged."
_A100 = "Joules of one card, so only an A100 at 224 px decides; ours must lie within 20 % of them."

NOTES = {
    "A1": "33 % less of both. Which moment of pruning these numbers belong to is not said, so any of P's methods will "
    "do; time, energy and accuracy are judged apart.",
    "A5": "Filters are pruned as well: P's own code can reach 3.5 % of the weights of VGG-16.",
    "C2": "Memory is the smallest exact file of the pruned network and the peak of 64 inferences at once in the exact "
    "form that needs least, each beside the dense network's; time is with masks.",
    "C3": "Of each network the gain on its own published accuracy, at 28 px; the two gains are averaged.",
    "C4": "APRIL-GAN's 0.8687 is an F1 score, not an accuracy, and that method is built on CLIP, not on a GAN.",
    "C5": "88.9 % of VisA's images are of the normal class.",
    "C6": _ADAPTING,
    "C7": "Read of scenarios ii and iii. " + _ADAPTING,
    "C10": "Both methods are tried out on the same weights, from one start and with one generator.",
    "C11": "138 M is VGG16 with 1,000 classes; with 10 it has 134.3 M.",
    "C12": "Section 4.5 speaks of a 10 % test share. BloodMNIST's official split is 11,959 / 1,712 / 3,421 images "
    "(train, validation, test).",
    "C13": "F means the structure: here filters are cut out of a network between two steps of its training.",
    "C14": "About half is read as 40 to 60 %.",
    "C15": "Read of the methods that train under masks, on whole networks with 90 or 95 % of the filters removed, "
    "after 10 epochs or more, where dense has learnt in as many.",
    "C16": _ADAPTING,
    "C17": "They agree where the standard deviation between seeds is below one point.",
    "C18": "The meters here leave partitions out, so nothing was tried.",
    "C19": "The largest class of BloodMNIST is 19.5 % of the training images.",
    "C20": "A best value is a maximum: the highest of the settings must lie in 40 to 60 %.",
    "C21": "Closer to dense is read as higher than in scenario i.",
    "C22": "Mostly is read as in three quarters of the settings.",
    "C24": "The entropy of BloodMNIST's class shares is 2.003, that of ten equal classes ln 10 = 2.303.",
    "C25": "The entropy of VisA's two class shares is 0.348.",
    "C26": "Steadily is read as in 90 % of the epochs.",
    "C29": "It prunes the dense network after training, so this holds by definition; the records are counted.",
    "C30": "90 = 3 scenarios × 3 data sets × 2 models × 5 with dense, but SET meets dense in 18 cases only.",
    "C33": "Dense takes 500 s more; sparse times around 8,000 s change to 5,800 s with the model.",
    "C34": "Never supported here: a step costs the same on any images of one shape, so ResNet18 cannot be faster on "
    "two sets and no faster on VisA, unless reading VisA's files took longest; reading is not measured.",
    "C35": "Decided by ResNet18 against itself without shortcuts, at F's 224 px; on smaller images, whose size is "
    "said, the ratio is shown and decides nothing.",
    "C37": "10 % is what guessing one of ten equal classes gives.",
    "C39": "ResNet18's only linear layer holds 0.009 to 0.046 % of its weights.",
    "C42": _ADAPTING,
    "C43": "Seconds of one card, so only an A100 decides.",
    "C44": "12 of 18 are 66.7 %.",
    "C48": _A100,
    "C49": _A100,
    "C51": "In-Training masks the layers that SET masks, so with masks these two are equal by definition.",
    "C53": "With masks a dense kernel runs in both, so they are equal by definition; what skipping removed filters "
    "would buy stands beside.",
    "C55": "Less than expected is read as: at least half of dense's energy remains.",
    "C56": "Sections 4.5 and 4.7 disagree: on the HPC system SET infers as fast as dense or more slowly, on the laptop "
    "dense is slower in all tests.",
    "C57": "Up to is a maximum: the largest loss of the settings must lie in 70 to 90 points.",
    "C58": "Half of these cases are ResNet18, where next to nothing is removed.",
    "C59": "They go together where the settings' ratios to dense, of time and of energy, correlate by more than 0.5.",
    "C60": _EXCEPTIONS,
    "C61": "Judged by its opposite: that energy falls from scenario iii to ii and from ii to i in every setting. Both "
    "of the latter mask the same layers, so with masks they are equal by definition.",
    "C62": "SET and In-Training mask the same layers and change masks alike, so with masks these two are equal by "
    "definition.",
    "C63": _EXCEPTIONS,
}
