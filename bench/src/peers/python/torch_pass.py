"""The peer of CudaPass: PyTorch's time for the same passes over the same shapes, on the same card.

A prompt forward through transformers' model without its head; then K logit differences at its last token and, for K > 0,
the exact gradient of each with respect to the embedded prompt (autograd computes those of all layers on the way). For
K > 1 both ways of autograd are tried, one cotangent after the other and all in a batch, and the faster is taken.
Wall-clock times until the device has finished, medians. Options as for CudaPass; mode=eager or mode=compile.
"""

import statistics
import sys
import time

import torch
from transformers import GPT2Config, GPT2Model, GPTNeoConfig, GPTNeoModel


def configuration(name):
    if name == "gpt-neo-1.3b":
        return GPTNeoModel, GPTNeoConfig(
            num_layers=24, attention_types=[[["global", "local"], 12]], hidden_size=2048, num_heads=16,
            intermediate_size=8192, max_position_embeddings=2048, resid_dropout=0.0, embed_dropout=0.0,
            attention_dropout=0.0)
    layers, width, heads = {"gpt2": (12, 768, 12), "gpt2-xl": (48, 1600, 25), "tiny": (2, 64, 4)}[name]
    return GPT2Model, GPT2Config(
        n_layer=layers, n_embd=width, n_head=heads, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0)


def build(name, precision, device):
    kind, config = configuration(name)
    torch.manual_seed(7)
    with torch.device(device):
        model = kind(config)
    model = model.to(torch.bfloat16 if precision == "bf16" else torch.float32)
    return model.eval().requires_grad_(False)


class Pass:
    """Forward, and back for the observables, batched or one by one."""

    def __init__(self, model, run, tokens, observables, device, batched):
        self.model, self.run, self.batched = model, run, batched
        self.observables = observables
        self.ids = torch.randint(0, model.config.vocab_size, (1, tokens), device=device)
        table = model.get_input_embeddings().weight
        vocabulary = table.shape[0]
        k = torch.arange(observables, device=device)
        self.differences = table[k % vocabulary] - table[(k + vocabulary // 2) % vocabulary]

    def __call__(self):
        embedded = self.model.get_input_embeddings()(self.ids)
        if self.observables == 0:
            with torch.no_grad():
                return self.run(inputs_embeds=embedded, use_cache=False).last_hidden_state
        embedded.requires_grad_(True)
        last = self.run(inputs_embeds=embedded, use_cache=False).last_hidden_state[0, -1]
        values = self.differences @ last
        if self.batched:
            seeds = torch.eye(self.observables, device=values.device, dtype=values.dtype)
            return torch.autograd.grad(values, embedded, seeds, is_grads_batched=True)[0]
        gradients = []
        for k in range(self.observables):
            gradients.append(torch.autograd.grad(values[k], embedded, retain_graph=k + 1 < self.observables)[0])
        return gradients


def wait(device):
    if device == "cuda":
        torch.cuda.synchronize()


def median(run, seconds, device):
    end = time.perf_counter() + 0.4 * seconds
    while True:
        run()
        wait(device)
        if time.perf_counter() >= end:
            break
    times = []
    while len(times) < 3 or (sum(times) < 0.6 * seconds and len(times) < 200):
        start = time.perf_counter()
        run()
        wait(device)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def measure(model, run, options, tokens, observables, device):
    best = None
    for batched in ([False, True] if observables > 1 else [False]):
        try:
            if not batched and observables > 64:
                continue  # minutes
            taken = median(Pass(model, run, tokens, observables, device, batched), options["seconds"], device)
            way = "batched" if batched else "one-by-one"
            best = min(best or (taken, way), (taken, way))
        except Exception as e:  # a way that this version does not have, or memory
            print("#", tokens, observables, "batched" if batched else "one by one", type(e).__name__, str(e)[:150], flush=True)
            if device == "cuda":
                torch.cuda.empty_cache()
    return best


def main():
    options = {"model": "gpt-neo-1.3b", "precision": "fp32,tf32,bf16", "tokens": "16,128,1024", "observables": "0,1,64",
               "seconds": "0.5", "rows": "65536", "mode": "eager"}
    options.update(pair.split("=", 1) for pair in sys.argv[1:])
    options["seconds"] = float(options["seconds"])
    device = "cuda" if torch.cuda.is_available() else "cpu"
    print("# torch", torch.__version__, device, torch.cuda.get_device_name() if device == "cuda" else "", flush=True)
    print("peer model precision tokens observables ms way", flush=True)
    for precision in options["precision"].split(","):
        torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
        model = build(options["model"], precision, device)
        for tokens in map(int, options["tokens"].split(",")):
            for observables in map(int, options["observables"].split(",")):
                if tokens * observables > int(options["rows"]) or tokens > model.config.max_position_embeddings:
                    continue
                torch._dynamo.reset()
                run = torch.compile(model, dynamic=False) if options["mode"] == "compile" else model
                best = measure(model, run, options, tokens, observables, device)
                if best:
                    print("torch-" + options["mode"], options["model"], precision, tokens, observables,
                          "%.3f" % (best[0] * 1e3), best[1], flush=True)


if __name__ == "__main__":
    main()
