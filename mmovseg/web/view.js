// Show the name of the segment under the pointer, and light the segment up. The picture
// "numbers" has the number of the segment at every pixel, in red, green and blue.
const states = new WeakMap();

function read(figure) {
  const state = {names: JSON.parse(figure.dataset.names), shown: 0, numbers: null};
  states.set(figure, state);
  const image = new Image();
  image.onload = () => {
    const canvas = figure.querySelector('canvas');
    canvas.width = image.naturalWidth;
    canvas.height = image.naturalHeight;
    const context = canvas.getContext('2d', {willReadFrequently: true});
    context.drawImage(image, 0, 0);
    const pixels = context.getImageData(0, 0, canvas.width, canvas.height).data;
    context.clearRect(0, 0, canvas.width, canvas.height);
    state.numbers = new Int32Array(canvas.width * canvas.height);
    for (let i = 0; i < state.numbers.length; i++) {
      state.numbers[i] = pixels[4 * i] | pixels[4 * i + 1] << 8 | pixels[4 * i + 2] << 16;
    }
    if (state.last) point(figure, state.last);
  };
  image.src = figure.dataset.numbers;
  return state;
}

function light(figure, number) {
  const state = states.get(figure) || read(figure);
  if (!state.numbers || state.shown === number) return;
  state.shown = number;
  const canvas = figure.querySelector('canvas');
  const context = canvas.getContext('2d');
  const layer = context.createImageData(canvas.width, canvas.height);
  const pixels = new Uint32Array(layer.data.buffer);
  for (let i = 0; number && i < pixels.length; i++) {
    if (state.numbers[i] === number) pixels[i] = 0x66ffffff;
  }
  context.putImageData(layer, 0, 0);
}

function point(figure, place) {
  const state = states.get(figure) || read(figure);
  state.last = place;
  if (!state.numbers) return;
  const canvas = figure.querySelector('canvas');
  const box = figure.querySelector('img').getBoundingClientRect();
  const x = Math.floor((place.x - box.left) / box.width * canvas.width);
  const y = Math.floor((place.y - box.top) / box.height * canvas.height);
  const inside = x >= 0 && y >= 0 && x < canvas.width && y < canvas.height;
  const number = inside ? state.numbers[y * canvas.width + x] : 0;
  const tip = figure.querySelector('.tip');
  tip.hidden = !number;
  tip.textContent = number ? state.names[number - 1] : '';
  tip.style.left = `${place.x - box.left}px`;
  tip.style.top = `${place.y - box.top}px`;
  light(figure, number);
}

function leave(figure) {
  const state = states.get(figure);
  if (state) state.last = null;
  figure.querySelector('.tip').hidden = true;
  light(figure, 0);
}

element.addEventListener('pointermove', (event) => {
  const figure = element.querySelector('figure');
  if (!figure) return;
  const row = event.target.closest('tr[data-number]');
  if (event.target.closest('figure')) {
    point(figure, {x: event.clientX, y: event.clientY});
  } else if (row) {
    light(figure, Number(row.dataset.number));
  } else {
    leave(figure);
  }
});
element.addEventListener('pointerleave', () => {
  const figure = element.querySelector('figure');
  if (figure) leave(figure);
});
