// Hands microphone samples over in blocks of 20 ms.
class Tap extends AudioWorkletProcessor {
  constructor() {
    super();
    this.block = new Float32Array(Math.round(sampleRate / 50));
    this.used = 0;
  }
  process(inputs) {
    for (const sample of inputs[0][0] || []) {
      this.block[this.used++] = sample;
      if (this.used === this.block.length) {
        this.port.postMessage(this.block.slice());
        this.used = 0;
      }
    }
    return true;
  }
}
registerProcessor("tap", Tap);
