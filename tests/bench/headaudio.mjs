// node headaudio.mjs PACKAGE SOUNDS OUT SPEAKER_HZ: nearest prototypes of HeadAudio for sounds.
// SOUNDS is JSON: files of float32 at 16 kHz; OUT gets, of each sound, times_s and weights of 15 visemes.
import fs from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";

const [folder, sounds, out, speakerHz] = process.argv.slice(2);
const load = (name) => import(pathToFileURL(path.resolve(folder, "modules", name)));
const { Processor } = await load("processor.mjs");
const { Training } = await load("training.mjs");
globalThis.fetch = async (file) => {
  const held = fs.readFileSync(file);
  return { ok: true, arrayBuffer: async () => held.buffer.slice(held.byteOffset, held.byteOffset + held.byteLength) };
};
const { model } = await new Training().loadModel(path.resolve(folder, "dist", "model-en-mixed.bin"));

function hear(samples) {
  const held = fs.readFileSync(samples);
  const sound = new Float32Array(held.buffer.slice(held.byteOffset, held.byteOffset + held.byteLength));
  const found = { times_s: [], weights: [] };
  const port = {
    onmessage: null,
    postMessage: (event) => {
      if (event.event === "feature") {
        const { distances } = processor.classifier.predict(event.vector);
        const nearest = new Array(15).fill(Infinity);
        model.forEach((p, n) => (nearest[p.viseme] = Math.min(nearest[p.viseme], distances[n])));
        const least = Math.min(...nearest);
        const weights = nearest.map((d) => Math.exp((least - d) / 2));
        const sum = weights.reduce((a, b) => a + b, 0);
        found.times_s.push(event.t);
        found.weights.push(weights.map((w) => w / sum));
      }
    },
  };
  const processor = new Processor(
    {
      sampleRate: 16000,
      speakerMeanHz: Number(speakerHz),
      processorOptions: { featureEventsEnabled: true },
      parameterData: { vadMode: 0 },
    },
    { port },
  );
  processor._onmessage({ data: { event: "model", model, reset: true } });
  for (let at = 0; at < sound.length; at += 128) processor.process(sound.subarray(at, at + 128));
  return found;
}

const given = JSON.parse(fs.readFileSync(sounds));
const before = process.cpuUsage();
const heard = given.map(hear);
const { user, system } = process.cpuUsage(before);
fs.writeFileSync(out, JSON.stringify({ cpu_s: (user + system) / 1e6, heard, phonemes: model.map((p) => [p.phoneme, p.viseme]) }));
