"""The toys' data, without the labels of the test side unless `answers` lies below the root."""

from dataclasses import replace

from vidsuite_toy.data import Blobs
from vidsuite_toy_tasks import data

from vidsuite_core.support.ids import digest


class Withheld:
    def revealed(self):
        return (self.root / "answers").is_dir()

    def given(self, samples):
        return [sample if self.revealed() or sample.split != "test" else sample.unlabelled() for sample in samples]

    def samples(self):
        return self.given(super().samples())

    def fingerprint(self):
        return digest([[sample.id, sample.subject, sample.footage.content] for sample in self.samples()])


class Turning(Withheld, Blobs):
    def samples(self):
        every = Blobs.samples(self)
        return self.given([replace(one, split="train" if one.subject < "subject 2" else "test") for one in every])


class Crossing(Withheld, data.Crossing):
    def draw(self, folder, number):
        super().draw(folder, number)
        if self.split(number) == "test" and not self.revealed():
            for path in folder.glob("*_labels.png"):
                path.unlink()


class Growing(Withheld, data.Growing):
    pass


class Passing(Withheld, data.Passing):
    pass
