#!/usr/bin/env bash
# OpenCV 4.14.0: the boxes of a TFLite SSD come out in another order than the anchors, and its scores in the right one.
#
# The detection head of a MobileNet SSD reshapes each layer's boxes to [1, n, 1, 4] and its scores to [1, n, labels], and
# joins the layers. OpenCV takes every 4-dimensional tensor for a picture with channels last and reorders the boxes of a
# layer as if they were one: its numbers, in rows of as many as a place has anchors, are told column by column. Shapes,
# labels and scores are right and no message is printed, so detections look plausible: numbers near zero leave the anchors themselves as boxes.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'opencv-python-headless==4.14.0.94' \
  'ai-edge-litert==2.1.0' 'numpy==2.4.6'
cd "$folder"
npm pack --silent @mediapipe/objectron@0.4.1675468480 >/dev/null
tar -xzf mediapipe-objectron-*.tgz
# MediaPipe's detector of Objectron (Apache-2.0) lies in a file of several assets.
head -c 9987912 package/objectron_solution_packed_assets.data | tail -c +185 > ssd.tflite
"$folder/venv/bin/python" - <<'P'
import sys
import cv2
import numpy as np
from ai_edge_litert.interpreter import Interpreter

boxes, scores = "raw_outputs/box_encodings", "raw_outputs/class_predictions"
picture = np.random.default_rng(0).random((1, 300, 300, 3), dtype=np.float32) * 2 - 1
reference = Interpreter("ssd.tflite", num_threads=1)
reference.allocate_tensors()
reference.set_tensor(reference.get_input_details()[0]["index"], picture)
reference.invoke()
right = {found["name"]: reference.get_tensor(found["index"])[0] for found in reference.get_output_details()}
network = cv2.dnn.readNetFromTFLite("ssd.tflite")
network.setInput(picture.transpose(0, 3, 1, 2))
seen = dict(zip((boxes, scores), (told[0] for told in network.forward([boxes, scores]))))

same = {name: bool(np.abs(right[name] - seen[name]).max() < 1e-2) for name in (boxes, scores)}
ends = np.cumsum([0, 19 * 19 * 3, *(6 * side * side for side in (10, 5, 3, 2, 1))])
anchors = [3, 6, 6, 6, 6, 6]  # of a place
layers = [seen[boxes][a:b].reshape(n, -1).T.reshape(-1, 4) for n, a, b in zip(anchors, ends, ends[1:])]
turned = bool(np.abs(right[boxes] - np.concatenate(layers)).max() < 1e-2)
print(f"opencv {cv2.__version__}: as LiteRT: scores {same[scores]}, boxes {same[boxes]}; boxes once turned back {turned}")
sys.exit(0 if same[scores] and not same[boxes] and turned else 1)
P
echo "as described"
