"""The DexHand021: its MJCF, joints, coupling, mirror image and looks; knows no simulator."""
