"""Vocabulary of the synthetic data. Everything below was written for these tests."""

from __future__ import annotations

PEOPLE = ("Ada", "Bela", "Carla", "Dario", "Edda", "Fritz", "Greta", "Hugo", "Ines", "Jonas", "Katja", "Lars")
PEOPLE_ZH = ("小安", "小白", "小成", "小丁", "小恩", "小方", "小高", "小何", "小季", "小康", "小林", "小毛")
PLACES = ("mill", "bridge", "market", "harbour", "school", "tower", "garden", "station", "ferry", "bakery", "well")
PLACES_ZH = ("磨坊", "桥头", "集市", "港口", "学校", "塔楼", "花园", "车站", "渡口", "面包店", "水井")
TOOLS = ("saw", "file", "drill", "hammer", "level", "chisel", "wrench", "rasp", "plane")
FRUIT = (
    "apple", "pear", "plum", "fig", "lemon", "melon", "quince", "date", "lime", "olive", "grape", "prune",
    "carrot", "turnip", "radish", "onion", "leek", "bean", "pea", "gourd", "squash", "beet", "nut", "acorn",
)  # fmt: skip
YOUNG = (
    ("hen", "chick"), ("cow", "calf"), ("cat", "kitten"), ("dog", "puppy"), ("sheep", "lamb"), ("horse", "foal"),
)  # fmt: skip
YOUNG_ZH = (("母鸡", "小鸡"), ("母牛", "牛犊"), ("母猫", "猫崽"), ("母狗", "狗崽"), ("母羊", "羊羔"), ("母马", "马驹"))


def turned(words: tuple[str, ...], start: int, count: int) -> list[str]:
    """`count` neighbouring words, beginning at `start` and going round."""
    return [words[(start + k) % len(words)] for k in range(count)]
