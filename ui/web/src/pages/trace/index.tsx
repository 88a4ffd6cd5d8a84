export default function Page() {
  return <main>trace</main>;
}
